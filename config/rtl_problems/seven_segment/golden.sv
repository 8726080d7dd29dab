module seven_segment (
  input  logic [3:0] digit,
  input  logic       blank,
  input  logic       test,
  output logic [6:0] segments_n
);
  logic [6:0] shape, lit;

  always_comb begin
    case (digit)
      4'h0:    shape = 7'h3f;
      4'h1:    shape = 7'h06;
      4'h2:    shape = 7'h5b;
      4'h3:    shape = 7'h4f;
      4'h4:    shape = 7'h66;
      4'h5:    shape = 7'h6d;
      4'h6:    shape = 7'h7d;
      4'h7:    shape = 7'h07;
      4'h8:    shape = 7'h7f;
      4'h9:    shape = 7'h6f;
      4'ha:    shape = 7'h77;
      4'hb:    shape = 7'h7c;
      4'hc:    shape = 7'h39;
      4'hd:    shape = 7'h5e;
      4'he:    shape = 7'h79;
      default: shape = 7'h71;
    endcase
  end

  assign lit        = test ? 7'h7f : blank ? 7'h00 : shape;
  assign segments_n = ~lit;
endmodule
