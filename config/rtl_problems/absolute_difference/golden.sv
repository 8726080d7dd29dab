module absolute_difference (
  input  logic [7:0] a,
  input  logic [7:0] b,
  input  logic       is_signed,
  output logic [7:0] difference,
  output logic       a_is_less,
  output logic       equal
);
  logic [7:0] flip, x, y;

  // signed numbers plus 128 are in the order of unsigned ones
  assign flip = is_signed ? 8'h80 : 8'h00;
  assign x = a ^ flip;
  assign y = b ^ flip;

  assign a_is_less  = x < y;
  assign equal      = a == b;
  assign difference = a_is_less ? b - a : a - b;
endmodule
