module bench;
  logic        clk = 0;
  logic        rst, start, busy, done;
  logic [7:0]  a, b;
  logic [15:0] product;

  serial_multiplier dut (
    .clk(clk), .rst(rst), .start(start), .a(a), .b(b), .busy(busy), .done(done), .product(product)
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
  int   remaining, pending, want;
  logic known, finished;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic cycle(input logic begins, input logic [7:0] x, input logic [7:0] y);
    start = begins;
    a = x;
    b = y;
    finished = 0;
    if (rst) begin
      remaining = 0;
      known = 0;
    end else if (remaining > 0) begin
      remaining--;
      finished = remaining == 0;
    end else if (begins) begin
      remaining = 8;
      pending = int'(x) * int'(y);
    end
    if (finished) begin
      want = pending;
      known = 1;
    end
    @(negedge clk);
    check("busy", busy, remaining > 0);
    check("done", done, finished);
    if (known) check("product", product, want);
  endtask

  task automatic multiply(input logic [7:0] x, input logic [7:0] y);
    cycle(1, x, y);
    repeat (8) cycle(1'(random()), 8'(random()), 8'(random()));
  endtask

  initial begin
    {start, a, b} = '0;
    remaining = 0;
    known = 0;
    rst = 1;
    @(negedge clk);
    cycle(1, 8'd3, 8'd3);
    rst = 0;
    cycle(0, 8'd3, 8'd3);
    multiply(8'd0, 8'd255);
    multiply(8'd255, 8'd255);
    multiply(8'd128, 8'd128);
    multiply(8'd1, 8'd200);
    repeat (3) cycle(0, 8'd1, 8'd1);
    cycle(1, 8'd9, 8'd9);
    repeat (3) cycle(0, 8'd0, 8'd0);
    rst = 1;  // abandoned
    cycle(0, 8'd0, 8'd0);
    rst = 0;
    repeat (12) cycle(0, 8'd0, 8'd0);
    repeat (200) begin
      multiply(8'(random()), 8'(random()));
      repeat (random() % 3) cycle(0, 8'(random()), 8'(random()));
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
