module priority_encoder8 (
  input  logic [7:0] request,
  output logic [2:0] index,
  output logic       valid
);
  always_comb begin
    index = 3'd0;
    for (int i = 0; i < 8; i++) begin
      if (request[i]) index = i[2:0];
    end
  end

  assign valid = |request;
endmodule
