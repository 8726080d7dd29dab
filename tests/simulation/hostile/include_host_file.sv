// forbidden
`include "/etc/passwd"
module counter(input logic clk, input logic rst, output logic [3:0] q);
endmodule
