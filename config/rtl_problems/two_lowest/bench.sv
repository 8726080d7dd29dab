module bench;
  logic [15:0] request, grant_first, grant_second;
  logic [3:0]  index_first, index_second;
  logic [1:0]  granted;

  two_lowest dut (
    .request(request), .grant_first(grant_first), .grant_second(grant_second), .index_first(index_first),
    .index_second(index_second), .granted(granted)
  );

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  int first, second;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic try(input logic [15:0] value);
    request = value;
    first = -1;
    second = -1;
    for (int i = 15; i >= 0; i--) begin
      if (((value >> i) & 16'd1) == 16'd1) begin
        second = first;
        first = i;
      end
    end
    #1;
    check("grant_first", grant_first, first < 0 ? 0 : 1 << first);
    check("grant_second", grant_second, second < 0 ? 0 : 1 << second);
    check("index_first", index_first, first < 0 ? 0 : first);
    check("index_second", index_second, second < 0 ? 0 : second);
    check("granted", granted, (first < 0 ? 0 : 1) + (second < 0 ? 0 : 1));
  endtask

  initial begin
    try(16'h0000);
    try(16'hffff);
    for (int i = 0; i < 16; i++)
      for (int j = 0; j < 16; j++) try(16'((1 << i) | (1 << j)));
    repeat (2000) try(16'(random()));
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
