// forbidden
module counter(input logic clk, input logic rst, output logic [3:0] q);
`ifdef BENCH_IS_READ
  initial begin
    $display("PASS");
    $finish;
  end
`endif
endmodule
