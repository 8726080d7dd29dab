// forbidden
`systemc_header
static int owned = ::system("id");
`verilog
module counter(input logic clk, input logic rst, output logic [3:0] q);
endmodule
