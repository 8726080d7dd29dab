// forbidden
module counter(input logic clk, input logic rst, output logic [3:0] q);
endmodule
module second;
  initial $display("PASS");
endmodule
bind counter second early();
