// forbidden
module counter(input logic clk, input logic rst, output logic [3:0] q);
  logic [7:0] memory [0:15];
  string name = "/etc/hostname";
  initial $readmemh(name, memory);
endmodule
