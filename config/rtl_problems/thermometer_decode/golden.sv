module thermometer_decode (
  input  logic [14:0] thermometer,
  output logic [3:0]  level,
  output logic        bubble
);
  always_comb begin
    level = 4'd0;
    for (int i = 0; i < 15; i++) begin
      level = level + {3'd0, thermometer[i]};
    end
  end

  assign bubble = |(thermometer[14:1] & ~thermometer[13:0]);
endmodule
