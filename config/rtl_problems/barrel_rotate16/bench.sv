module bench;
  logic [15:0] data_in, data_out, want;
  logic [3:0]  amount;
  logic        right;
  logic [1:0]  operation;

  barrel_rotate16 dut (
    .data_in(data_in), .amount(amount), .right(right), .operation(operation), .data_out(data_out)
  );

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  initial begin
    for (int round = 0; round < 1280; round++) begin
      {operation, right, amount} = round[6:0];
      data_in = round < 128 ? 16'h8001 : round < 256 ? 16'h7ffe : 16'(random());
      want = data_in;
      if (operation != 2'd3) begin
        repeat (int'(amount)) begin  // one position at a time
          if (right) want = {operation == 0 ? want[0] : operation == 2 ? data_in[15] : 1'b0, want[15:1]};
          else want = {want[14:0], operation == 0 ? want[15] : 1'b0};
        end
      end
      #1 check("data_out", data_out, want);
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
