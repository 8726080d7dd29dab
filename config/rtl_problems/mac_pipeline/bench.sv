module bench;
  logic               clk = 0;
  logic               rst, in_valid, first, out_valid;
  logic signed [7:0]  a, b;
  logic signed [19:0] total;

  mac_pipeline dut (
    .clk(clk), .rst(rst), .in_valid(in_valid), .first(first), .a(a), .b(b), .out_valid(out_valid), .total(total)
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
  int   x, y, product, want;
  logic stage_valid, stage_first, want_valid;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic cycle(input logic is_valid, input logic is_first, input int left, input int right);
    in_valid = is_valid;
    first = is_first;
    a = 8'(left);
    b = 8'(right);
    want_valid = stage_valid && !rst;
    if (rst) want = 0;
    else if (stage_valid) want = stage_first ? product : want + product;
    stage_valid = is_valid && !rst;
    stage_first = is_first;
    product = left * right;
    @(negedge clk);
    check("out_valid", out_valid, want_valid);
    check("total", total & 20'hfffff, want & 32'hfffff);
  endtask

  initial begin
    {in_valid, first, a, b} = '0;
    {stage_valid, stage_first} = '0;
    want = 0;
    rst = 1;
    @(negedge clk);
    cycle(1, 1, 5, 5);
    rst = 0;
    cycle(0, 1, 9, 9);
    cycle(1, 0, 3, 4);
    cycle(1, 0, -128, -128);
    cycle(1, 0, -128, 127);
    cycle(0, 1, 1, 1);
    cycle(1, 1, -1, 1);
    cycle(0, 0, 1, 1);
    cycle(0, 0, 1, 1);
    repeat (40) cycle(1, 0, -128, -128);  // wraps around
    repeat (70) cycle(1, 0, -128, 127);
    repeat (3000) begin
      rst = random() % 64 == 0;
      cycle(random() % 4 != 0, random() % 16 == 0, int'(random() % 256) - 128, int'(random() % 256) - 128);
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
