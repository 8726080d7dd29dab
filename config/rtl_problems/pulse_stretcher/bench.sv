module bench;
  logic       clk = 0;
  logic       rst_n, trigger, stretched;
  logic [3:0] length;

  pulse_stretcher dut (.clk(clk), .rst_n(rst_n), .trigger(trigger), .length(length), .stretched(stretched));

  always #10 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  int now, stop;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic cycle(input logic start, input logic [3:0] cycles);
    trigger = start;
    length = cycles;
    #3 check("stretched before the edge", stretched, now < stop);
    now++;
    if (start) stop = now + int'(cycles);
    @(negedge clk);
    check("stretched", stretched, now < stop);
  endtask

  initial begin
    {trigger, length} = '0;
    rst_n = 0;
    now = 0;
    stop = 0;
    @(negedge clk);
    check("stretched in reset", stretched, 0);
    rst_n = 1;
    cycle(1, 1);
    cycle(0, 9);
    cycle(0, 9);
    cycle(1, 15);
    repeat (20) cycle(0, 2);
    cycle(1, 5);
    repeat (4) cycle(0, 0);
    cycle(1, 5);  // at the last edge
    repeat (3) cycle(0, 0);
    cycle(1, 0);
    repeat (3) cycle(0, 0);
    cycle(1, 9);
    cycle(1, 2);
    repeat (10) cycle(0, 15);
    repeat (3000) begin
      cycle(random() % 8 == 0, 4'(random()));
      if (random() % 64 == 0) begin
        #1 rst_n = 0;
        #1 check("stretched in reset", stretched, 0);
        stop = 0;
        rst_n = 1;
      end
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
