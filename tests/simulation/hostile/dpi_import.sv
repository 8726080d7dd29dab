// forbidden
import "DPI-C" function int system(input string command);
module counter(input logic clk, input logic rst, output logic [3:0] q);
  initial void'(system("id"));
endmodule
