module bench;
  logic              clk = 0;
  logic              rst, a, b, error;
  logic signed [7:0] position;

  quadrature_decoder dut (.clk(clk), .rst(rst), .a(a), .b(b), .position(position), .error(error));

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  int         phase, previous, steps;
  logic       want_error;
  logic [7:0] want;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic cycle;
    case (phase)
      0: {a, b} = 2'b00;
      1: {a, b} = 2'b10;
      2: {a, b} = 2'b11;
      default: {a, b} = 2'b01;
    endcase
    if (rst) begin
      want = 0;
      want_error = 0;
    end else begin
      steps = (phase - previous + 4) % 4;
      if (steps == 1) want = want + 8'd1;
      if (steps == 3) want = want - 8'd1;
      if (steps == 2) want_error = 1;
    end
    previous = phase;
    @(negedge clk);
    check("position", position[7:0], want);
    check("error", error, want_error);
  endtask

  task automatic turn(input int by);
    phase = (phase + by + 4) % 4;
    cycle();
  endtask

  task automatic restart;
    rst = 1;
    turn(int'(random() % 4));
    rst = 0;
  endtask

  initial begin
    phase = 0;
    previous = 0;
    want = 0;
    want_error = 0;
    {a, b} = 2'b00;
    rst = 1;
    @(negedge clk);
    restart();
    repeat (10) turn(1);
    repeat (2) turn(0);
    repeat (20) turn(-1);
    for (int start = 0; start < 4; start++) begin  // a reset in each phase, then a step in each direction
      rst = 1;
      turn(1);
      rst = 0;
      turn(start % 2 == 0 ? 1 : -1);
      turn(2);
      repeat (3) turn(1);
    end
    restart();
    repeat (140) turn(1);
    repeat (280) turn(-1);
    repeat (4000) begin
      turn(random() % 64 == 0 ? 2 : int'(random() % 3) - 1);
      if (random() % 100 == 0) restart();
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
