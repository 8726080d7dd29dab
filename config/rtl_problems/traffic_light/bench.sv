module bench;
  logic clk = 0;
  logic rst_n, request, red, yellow, green, walk;

  traffic_light dut (
    .clk(clk), .rst_n(rst_n), .request(request), .red(red), .yellow(yellow), .green(green), .walk(walk)
  );

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  int   phase, age, duration;
  logic stored, leave;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic lights;
    case (phase)
      0: check("red, yellow, green, walk when green", {red, yellow, green, walk}, 4'b0010);
      1: check("red, yellow, green, walk when yellow", {red, yellow, green, walk}, 4'b0100);
      2: check("red, yellow, green, walk at clearance", {red, yellow, green, walk}, 4'b1000);
      3: check("red, yellow, green, walk when walking", {red, yellow, green, walk}, 4'b1001);
      default: check("red, yellow, green, walk at the end", {red, yellow, green, walk}, 4'b1100);
    endcase
  endtask

  task automatic cycle(input logic pressed);
    request = pressed;
    #1 lights();
    age++;  // number of edges since the phase began
    stored = stored || pressed;
    case (phase)
      0: duration = 8;
      1: duration = 3;
      2: duration = 2;
      3: duration = 6;
      default: duration = 2;
    endcase
    leave = age >= duration && (phase != 0 || stored);
    if (leave) begin
      if (phase == 2) stored = 0;
      phase = (phase + 1) % 5;
      age = 0;
    end
    @(negedge clk);
    lights();
  endtask

  initial begin
    request = 0;
    phase = 0;
    age = 0;
    stored = 0;
    rst_n = 0;
    @(negedge clk);
    lights();
    rst_n = 1;
    repeat (30) cycle(0);
    repeat (3) begin
      cycle(1);
      repeat (60) cycle(0);
    end
    repeat (50) cycle(1);
    // one request at each distance from the beginning of a round
    for (int when = 0; when < 40; when++) begin
      repeat (60) cycle(0);
      cycle(1);
      repeat (when) cycle(0);
      cycle(1);
    end
    repeat (5000) begin
      cycle(random() % 16 == 0);
      if (random() % 100 == 0) begin
        #1 rst_n = 0;
        phase = 0;
        age = 0;
        stored = 0;
        #1 lights();
        rst_n = 1;
      end
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
