// time_limit
module counter(input logic clk, input logic rst, output logic [3:0] q);
  initial begin
    q = 0;
    while (q < 2) q = q & 1;
  end
endmodule
