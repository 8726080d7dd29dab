// syntax_error
`define A x + x + x + x + x + x + x + x + x + x
`define B `A + `A + `A + `A + `A + `A + `A + `A + `A + `A
`define C `B + `B + `B + `B + `B + `B + `B + `B + `B + `B
`define D `C + `C + `C + `C + `C + `C + `C + `C + `C + `C
`define E `D + `D + `D + `D + `D + `D + `D + `D + `D + `D
`define F `E + `E + `E + `E + `E + `E + `E + `E + `E + `E
module counter(input logic clk, input logic rst, output logic [3:0] q);
  assign q = `F;
endmodule
