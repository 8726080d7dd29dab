module saturating_adder (
  input  logic signed [7:0] a,
  input  logic signed [7:0] b,
  input  logic              subtract,
  output logic signed [7:0] result,
  output logic              saturated
);
  logic signed [8:0] exact;

  assign exact     = subtract ? 9'(a) - 9'(b) : 9'(a) + 9'(b);
  assign saturated = exact[8] != exact[7];
  assign result    = saturated ? (exact[8] ? -8'sd128 : 8'sd127) : exact[7:0];
endmodule
