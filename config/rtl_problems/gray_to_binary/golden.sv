module gray_to_binary (
  input  logic [7:0] gray,
  output logic [7:0] binary
);
  always_comb begin
    binary = 8'd0;
    for (int i = 0; i < 8; i++) begin
      binary[i] = ^(gray >> i);
    end
  end
endmodule
