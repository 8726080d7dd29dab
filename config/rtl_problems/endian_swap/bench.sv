module bench;
  logic [31:0] data_in, data_out, want;
  logic [1:0]  mode;

  endian_swap dut (.data_in(data_in), .mode(mode), .data_out(data_out));

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
    for (int round = 0; round < 400; round++) begin
      data_in = round < 4 ? 32'h0403_0201 : random();
      mode = round[1:0];
      want = 32'd0;
      // byte b of the input goes to byte b ^ mode of the output
      for (int b = 0; b < 4; b++) want |= ((data_in >> (8 * b)) & 32'hff) << (8 * (b ^ {30'd0, mode}));
      #1 check("data_out", data_out, want);
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
