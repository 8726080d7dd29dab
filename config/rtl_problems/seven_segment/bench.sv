module bench;
  logic [3:0] digit;
  logic       blank, test;
  logic [6:0] segments_n, want;

  seven_segment dut (.digit(digit), .blank(blank), .test(test), .segments_n(segments_n));

  int errors = 0;
  // digits, from F down to 0, that light a segment
  logic [15:0] with_segment[0:6];

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  initial begin
    with_segment[0] = 16'b1101_0111_1110_1101;
    with_segment[1] = 16'b0010_0111_1001_1111;
    with_segment[2] = 16'b0010_1111_1111_1011;
    with_segment[3] = 16'b0111_1011_0110_1101;
    with_segment[4] = 16'b1111_1101_0100_0101;
    with_segment[5] = 16'b1101_1111_0111_0001;
    with_segment[6] = 16'b1110_1111_0111_1100;
    for (int value = 0; value < 64; value++) begin
      {test, blank, digit} = value[5:0];
      for (int s = 0; s < 7; s++) want[s] = !(test || (!blank && with_segment[s][digit]));
      #1 check("segments_n", segments_n, want);
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
