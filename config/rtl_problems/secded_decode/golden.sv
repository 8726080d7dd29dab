module secded_decode (
  input  logic [12:0] code,
  output logic [7:0]  data,
  output logic        corrected,
  output logic        uncorrectable
);
  logic [12:0] repaired;
  logic [3:0]  syndrome;
  logic        odd, unused;

  always_comb begin
    syndrome = 4'd0;
    for (int i = 1; i <= 12; i++) begin
      if (code[i]) syndrome = syndrome ^ i[3:0];
    end
  end

  assign odd           = ^code;
  assign uncorrectable = odd ? syndrome > 4'd12 : syndrome != 4'd0;
  assign corrected     = odd && !uncorrectable;
  assign repaired      = corrected ? code ^ (13'd1 << syndrome) : code;
  assign data          = {repaired[12:9], repaired[7:5], repaired[3]};
  assign unused        = ^{repaired[8], repaired[4], repaired[2:0]};
endmodule
