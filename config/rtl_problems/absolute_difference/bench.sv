module bench;
  logic [7:0] a, b, difference;
  logic       is_signed, a_is_less, equal;

  absolute_difference dut (
    .a(a), .b(b), .is_signed(is_signed), .difference(difference), .a_is_less(a_is_less), .equal(equal)
  );

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  int x, y;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic try(input logic [7:0] first, input logic [7:0] second);
    for (int mode = 0; mode < 2; mode++) begin
      is_signed = mode == 1;
      a = first;
      b = second;
      x = is_signed && first >= 128 ? int'(first) - 256 : int'(first);
      y = is_signed && second >= 128 ? int'(second) - 256 : int'(second);
      #1;
      check("difference", difference, x > y ? x - y : y - x);
      check("a_is_less", a_is_less, x < y);
      check("equal", equal, x == y);
    end
  endtask

  initial begin
    try(8'h80, 8'h7f);
    try(8'h7f, 8'h80);
    try(8'h00, 8'hff);
    for (int v = 0; v < 256; v++) begin
      try(8'(v), 8'(v));
      try(8'(v), 8'(v + 1));
      try(8'(v), 8'h80);
      try(8'h00, 8'(v));
    end
    repeat (3000) try(8'(random()), 8'(random()));
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
