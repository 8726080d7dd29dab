module bench;
  logic       clk = 0;
  logic       rst, first, valid, bit_in, divisible;
  logic [2:0] remainder;

  remainder_by_5 dut (
    .clk(clk), .rst(rst), .first(first), .valid(valid), .bit_in(bit_in), .remainder(remainder), .divisible(divisible)
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
  int number;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic cycle;
    // of a long number, only the remainder by 5 matters
    if (rst) number = 0;
    else if (valid) number = first ? int'(bit_in) : (number % 1000000) * 2 + int'(bit_in);
    @(negedge clk);
    check("remainder", remainder, number % 5);
    check("divisible", divisible, number % 5 == 0);
  endtask

  initial begin
    {first, valid, bit_in} = '0;
    number = 0;
    rst = 1;
    @(negedge clk);
    cycle();
    rst = 0;
    for (int n = 0; n < 200; n++) begin
      for (int i = 7; i >= 0; i--) begin
        valid = 1;
        first = i == 7;
        bit_in = 1'(n >> i);
        cycle();
      end
      check("remainder of eight bits", remainder, n % 5);
    end
    first = 0;
    repeat (500) begin
      bit_in = 1'(random());
      cycle();
    end
    repeat (3000) begin
      rst = random() % 64 == 0;
      valid = random() % 4 != 0;
      first = random() % 16 == 0;
      bit_in = 1'(random());
      cycle();
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
