module bench;
  logic       clk = 0;
  logic       rst_n, enable, down, at_zero;
  logic [4:0] gray;

  gray_counter dut (
    .clk(clk), .rst_n(rst_n), .enable(enable), .down(down), .gray(gray), .at_zero(at_zero)
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
  int position;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic outputs;
    check("gray", gray, position ^ (position / 2));
    check("at_zero", at_zero, position == 0);
  endtask

  task automatic cycle;
    if (enable) position = (position + (down ? 31 : 1)) % 32;
    @(negedge clk);
    outputs();
  endtask

  initial begin
    {enable, down} = '0;
    rst_n = 0;
    position = 0;
    @(negedge clk);
    outputs();
    rst_n = 1;
    repeat (3) cycle();
    enable = 1;
    repeat (70) cycle();
    down = 1;
    repeat (70) cycle();
    repeat (2000) begin
      enable = 1'(random());
      if (random() % 8 == 0) down = !down;
      cycle();
      if (random() % 100 == 0) begin
        #2 rst_n = 0;
        position = 0;
        #1 outputs();
        rst_n = 1;
      end
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
