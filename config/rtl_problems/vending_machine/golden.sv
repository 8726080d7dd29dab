module vending_machine (
  input  logic       clk,
  input  logic       rst,
  input  logic       nickel,
  input  logic       dime,
  input  logic       quarter,
  input  logic       refund,
  output logic       drink,
  output logic [6:0] change,
  output logic [5:0] credit
);
  logic [6:0] paid;

  // at most 25 + 40 cents
  assign paid = {1'b0, credit} + (nickel ? 7'd5 : 7'd0) + (dime ? 7'd10 : 7'd0) + (quarter ? 7'd25 : 7'd0);

  always_ff @(posedge clk) begin
    drink  <= 1'b0;
    change <= 7'd0;
    credit <= 6'd0;
    if (!rst) begin
      if (refund) begin
        change <= paid;  // refund
      end else if (paid >= 7'd30) begin
        drink  <= 1'b1;
        change <= paid - 7'd30;
      end else begin
        credit <= paid[5:0];
      end
    end
  end
endmodule
