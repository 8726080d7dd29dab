module bench;
  logic       clk = 0;
  logic       rst, enable, kick, bite, late;
  logic [3:0] count;

  window_watchdog dut (
    .clk(clk), .rst(rst), .enable(enable), .kick(kick), .count(count), .bite(bite), .late(late)
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
  int want;
  logic want_bite, want_late;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic cycle(input logic serve);
    kick = serve;
    if (rst) begin
      want = 0;
      want_bite = 0;
      want_late = 0;
    end else if (!want_bite) begin
      if (!enable) want = 0;
      else if (kick) begin
        if (want >= 8) want = 0;
        else want_bite = 1;
      end else if (want < 15) want++;
      else begin
        want_bite = 1;
        want_late = 1;
      end
    end
    @(negedge clk);
    check("count", count, want);
    check("bite", bite, want_bite);
    check("late", late, want_late);
  endtask

  task automatic restart;
    rst = 1;
    cycle(0);
    rst = 0;
  endtask

  initial begin
    {enable, kick} = '0;
    {want_bite, want_late} = '0;
    want = 0;
    rst = 1;
    @(negedge clk);
    cycle(1);
    rst = 0;
    cycle(1);
    enable = 1;
    for (int wait_for = 0; wait_for < 18; wait_for++) begin  // a kick at every count, and after the end
      restart();
      repeat (wait_for) cycle(0);
      cycle(1);
      repeat (10) cycle(0);
      cycle(1);
      enable = 0;
      repeat (2) cycle(1);
      enable = 1;
      repeat (3) cycle(0);
    end
    restart();
    repeat (5) cycle(0);
    enable = 0;
    cycle(0);
    enable = 1;
    repeat (20) cycle(0);
    repeat (6000) begin
      rst = random() % 64 == 0;
      enable = random() % 64 != 0;
      cycle(want < 8 ? random() % 64 == 0 : random() % 8 == 0);
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
