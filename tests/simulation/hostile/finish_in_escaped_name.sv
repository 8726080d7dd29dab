// forbidden
module counter(input logic clk, input logic rst, output logic [3:0] q);
  logic \"a ; initial begin $display("PASS"); $finish; end logic \"b ;
endmodule
