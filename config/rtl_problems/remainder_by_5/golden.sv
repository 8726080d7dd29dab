module remainder_by_5 (
  input  logic       clk,
  input  logic       rst,
  input  logic       first,
  input  logic       valid,
  input  logic       bit_in,
  output logic [2:0] remainder,
  output logic       divisible
);
  logic [3:0] doubled, reduced;
  logic       unused;

  assign doubled   = {remainder, 1'b0} + {3'd0, bit_in};
  assign reduced   = doubled >= 4'd5 ? doubled - 4'd5 : doubled;
  assign unused    = reduced[3];
  assign divisible = remainder == 3'd0;

  always_ff @(posedge clk) begin
    if (rst) remainder <= 3'd0;
    else if (valid) remainder <= first ? {2'd0, bit_in} : reduced[2:0];
  end
endmodule
