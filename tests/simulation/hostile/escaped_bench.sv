// forbidden
module counter(input logic clk, input logic rst, output logic [3:0] q);
endmodule
module \bench ;
  initial $display("PASS");
endmodule
