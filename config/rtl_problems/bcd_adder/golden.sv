module bcd_adder (
  input  logic [7:0] a,
  input  logic [7:0] b,
  input  logic       carry_in,
  output logic [7:0] sum,
  output logic       carry_out,
  output logic       invalid
);
  logic [4:0] ones, tens;
  logic [3:0] ones_digit, tens_digit;
  logic       carry, hundreds;

  assign ones       = {1'b0, a[3:0]} + {1'b0, b[3:0]} + {4'd0, carry_in};
  assign carry      = ones >= 5'd10;
  assign ones_digit = carry ? ones[3:0] + 4'd6 : ones[3:0];
  assign tens       = {1'b0, a[7:4]} + {1'b0, b[7:4]} + {4'd0, carry};
  assign hundreds   = tens >= 5'd10;
  assign tens_digit = hundreds ? tens[3:0] + 4'd6 : tens[3:0];

  assign invalid   = a[3:0] > 4'd9 || a[7:4] > 4'd9 || b[3:0] > 4'd9 || b[7:4] > 4'd9;
  assign sum       = invalid ? 8'd0 : {tens_digit, ones_digit};
  assign carry_out = !invalid && hundreds;
endmodule
