// output_limit
module counter(input logic clk, input logic rst, output logic [3:0] q);
  bit stays = 1;
  initial while (stays) $display("0123456789012345678901234567890123456789012345678901234567890123456789");
endmodule
