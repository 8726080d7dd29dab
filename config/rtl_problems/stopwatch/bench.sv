module bench;
  logic        clk = 0;
  logic        rst, tick, start_stop, lap, running;
  logic [15:0] display;

  stopwatch dut (
    .clk(clk), .rst(rst), .tick(tick), .start_stop(start_stop), .lap(lap), .display(display), .running(running)
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
  int   seconds, shown;
  logic run, frozen;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  function automatic int bcd(input int s);
    return ((s / 600) * 4096) + ((s / 60 % 10) * 256) + ((s % 60 / 10) * 16) + (s % 10);
  endfunction

  task automatic cycle;
    if (rst) begin
      seconds = 0;
      run = 0;
      frozen = 0;
    end else begin
      if (lap && !frozen) shown = seconds;
      if (lap) frozen = !frozen;
      if (tick && run) seconds = (seconds + 1) % 3600;
      if (start_stop) run = !run;
    end
    @(negedge clk);
    check("display", display, bcd(frozen ? shown : seconds));
    check("running", running, run);
  endtask

  initial begin
    {tick, start_stop, lap} = '0;
    {run, frozen} = '0;
    seconds = 0;
    shown = 0;
    rst = 1;
    @(negedge clk);
    cycle();
    rst = 0;
    tick = 1;
    cycle();
    start_stop = 1;
    cycle();
    start_stop = 0;
    repeat (3700) cycle();
    lap = 1;
    cycle();
    lap = 0;
    repeat (5) cycle();
    start_stop = 1;
    cycle();
    start_stop = 0;
    repeat (3) cycle();
    lap = 1;
    cycle();
    lap = 0;
    cycle();
    repeat (3000) begin
      rst = random() % 256 == 0;
      tick = random() % 4 != 0;
      start_stop = random() % 16 == 0;
      lap = random() % 16 == 0;
      cycle();
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
