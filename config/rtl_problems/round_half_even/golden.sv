module round_half_even (
  input  logic signed [15:0] value,
  output logic signed [7:0]  rounded,
  output logic               inexact,
  output logic               saturated
);
  logic signed [10:0] integer_part;
  logic               up, high, low;

  // arithmetic truncation goes down, so a remainder above one half, or one half below an odd number, goes up
  assign up           = value[5] && (value[4:0] != 5'd0 || value[6]);
  assign integer_part = $signed({value[15], value[15:6]}) + $signed({10'd0, up});
  assign high         = integer_part > 11'sd127;
  assign low          = integer_part < -11'sd128;

  assign rounded   = high ? 8'sd127 : low ? -8'sd128 : integer_part[7:0];
  assign inexact   = value[5:0] != 6'd0;
  assign saturated = high || low;
endmodule
