// forbidden
module counter(input logic clk, input logic rst, output logic [3:0] q);
  integer file;
  initial file = $fopen("/etc/passwd", "r");
endmodule
