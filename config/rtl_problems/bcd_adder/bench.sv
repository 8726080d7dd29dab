module bench;
  logic [7:0] a, b, sum;
  logic       carry_in, carry_out, invalid;

  bcd_adder dut (
    .a(a), .b(b), .carry_in(carry_in), .sum(sum), .carry_out(carry_out), .invalid(invalid)
  );

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  int total;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic valid(input int x, input int y, input logic carry);
    a = 8'((x / 10) * 16 + x % 10);
    b = 8'((y / 10) * 16 + y % 10);
    carry_in = carry;
    total = x + y + int'(carry);
    #1;
    check("sum", sum, (total / 10 % 10) * 16 + total % 10);
    check("carry_out", carry_out, total / 100);
    check("invalid", invalid, 0);
  endtask

  task automatic wrong(input int where, input int digit);
    a = 8'h25;
    b = 8'h71;
    if (where == 0) a = {4'h2, 4'(digit)};
    if (where == 1) a = {4'(digit), 4'h5};
    if (where == 2) b = {4'h7, 4'(digit)};
    if (where == 3) b = {4'(digit), 4'h1};
    carry_in = 1;
    #1;
    check("invalid", invalid, 1);
    check("sum of invalid digits", sum, 0);
    check("carry_out of invalid digits", carry_out, 0);
  endtask

  initial begin
    for (int x = 0; x < 100; x++)
      for (int y = 0; y < 100; y += 3) valid((x + y) % 100, y, 1'(random()));
    valid(99, 99, 1);
    valid(99, 0, 1);
    valid(0, 0, 0);
    for (int where = 0; where < 4; where++)
      for (int digit = 10; digit < 16; digit++) wrong(where, digit);
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
