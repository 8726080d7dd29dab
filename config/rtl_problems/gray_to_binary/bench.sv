module bench;
  logic [7:0] gray, binary;

  gray_to_binary dut (.gray(gray), .binary(binary));

  int errors = 0;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  initial begin
    for (int value = 0; value < 256; value++) begin
      gray = value[7:0] ^ {1'b0, value[7:1]};
      #1 check("binary", binary, value);
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
