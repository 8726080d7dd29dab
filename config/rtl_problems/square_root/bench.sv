module bench;
  logic        clk = 0;
  logic        rst, start, busy, done;
  logic [15:0] value;
  logic [7:0]  root;
  logic [8:0]  remainder;

  square_root dut (
    .clk(clk), .rst(rst), .start(start), .value(value), .busy(busy), .done(done), .root(root), .remainder(remainder)
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
  int remembered, want;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic result;
    check("root", root, want);
    check("remainder", remainder, remembered - want * want);
  endtask

  task automatic calculate(input int number, input logic disturb);
    remembered = number;
    want = 0;
    for (int r = 0; r < 256; r++) if (r * r <= number) want = r;
    start = 1;
    value = 16'(number);
    @(negedge clk);
    check("busy after start", busy, 1);
    check("done after start", done, 0);
    start = 0;
    for (int i = 0; i < 20 && busy; i++) begin
      start = disturb && random() % 2 == 0 && i < 4;
      value = 16'(random());
      check("done while busy", done, 0);
      @(negedge clk);
    end
    start = 0;
    check("busy after 20 cycles", busy, 0);
    check("done at the end", done, 1);
    result();
  endtask

  initial begin
    {start, value} = '0;
    rst = 1;
    @(negedge clk);
    @(negedge clk);
    check("busy after reset", busy, 0);
    check("done after reset", done, 0);
    start = 1;  // not accepted in reset
    @(negedge clk);
    check("busy in reset", busy, 0);
    start = 0;
    rst = 0;
    for (int r = 0; r < 256; r++) begin  // around each perfect square, without a pause
      calculate(r * r, 0);
      if (r > 0) calculate(r * r - 1, 1);
    end
    calculate(65535, 1);
    repeat (3) begin
      @(negedge clk);
      check("done is one pulse", done, 0);
      check("busy at rest", busy, 0);
      result();
    end
    start = 1;
    @(negedge clk);
    start = 0;
    repeat (3) @(negedge clk);
    rst = 1;
    @(negedge clk);
    rst = 0;
    repeat (25) begin
      check("busy after an abandoned calculation", busy, 0);
      check("done after an abandoned calculation", done, 0);
      @(negedge clk);
    end
    repeat (300) begin
      calculate(int'(random() % 65536), 1);
      repeat (random() % 3) @(negedge clk);
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
