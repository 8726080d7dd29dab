// memory_limit
module counter(input logic clk, input logic rst, output logic [3:0] q);
  string text = "0123456789";
  initial begin
    while (text.len() > 0) text = {text, text};
    q = 4'(text.len());
  end
endmodule
