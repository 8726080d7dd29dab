// crash
module counter(input logic clk, input logic rst, output logic [3:0] q);
  logic x;
  always_comb x = ~x ^ rst;
  assign q = {4{x}};
endmodule
