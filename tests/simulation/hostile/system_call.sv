// forbidden
module counter(input logic clk, input logic rst, output logic [3:0] q);
  initial $system("touch /tmp/owned; id");
endmodule
