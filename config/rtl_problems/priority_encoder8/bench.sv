module bench;
  logic [7:0] request;
  logic [2:0] index;
  logic       valid;

  priority_encoder8 dut (.request(request), .index(index), .valid(valid));

  int errors = 0;
  int want;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  initial begin
    for (int value = 0; value < 256; value++) begin
      request = value[7:0];
      want = 0;
      for (int bits = value; bits > 1; bits = bits / 2) want++;
      #1;
      check("index", index, want);
      check("valid", valid, value != 0);
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
