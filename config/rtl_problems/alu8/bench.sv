module bench;
  logic [7:0] a, b, result, want;
  logic [2:0] operation;
  logic       zero, negative, carry, overflow;

  alu8 dut (
    .a(a), .b(b), .operation(operation), .result(result), .zero(zero), .negative(negative), .carry(carry),
    .overflow(overflow)
  );

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  int ua, ub, sa, sb, wide, exact;
  logic want_carry;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  initial begin
    for (int round = 0; round < 8000; round++) begin
      operation = round[2:0];
      a = 8'(random());
      b = 8'(random());
      if (round[5:3] == 0) b = a;
      if (round[5:3] == 1) a = 8'h80;
      if (round[5:3] == 2) b = 8'h80;
      if (round[5:3] == 3) {a, b} = 16'h7f01;
      if (round[5:3] == 4) b = 8'h00;
      ua = int'(a);
      ub = int'(b);
      sa = ua > 127 ? ua - 256 : ua;
      sb = ub > 127 ? ub - 256 : ub;
      wide = 0;
      exact = 0;
      want_carry = 0;
      case (operation)
        0: begin wide = ua + ub; exact = sa + sb; want_carry = wide > 255; end
        1: begin wide = ua - ub; exact = sa - sb; want_carry = ua >= ub; end
        2: wide = ua & ub;
        3: wide = ua | ub;
        4: wide = ua ^ ub;
        5: wide = sa < sb ? 1 : 0;
        6: wide = ua < ub ? 1 : 0;
        default: wide = ub;
      endcase
      want = 8'(wide);
      #1;
      check("result", result, want);
      check("zero", zero, want == 0);
      check("negative", negative, want >= 8'h80);
      check("carry", carry, want_carry);
      check("overflow", overflow, exact > 127 || exact < -128);
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
