// forbidden
module counter(input logic clk, input logic rst, output logic [3:0] q);
  string s;
  initial begin
    s = """a"b"""; $display("PASS"); $finish; s = """c""";
  end
endmodule
