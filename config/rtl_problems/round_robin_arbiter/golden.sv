module round_robin_arbiter (
  input  logic       clk,
  input  logic       rst,
  input  logic [3:0] request,
  input  logic       accept,
  output logic [3:0] grant
);
  logic [1:0] pointer, winner, candidate;

  always_comb begin
    winner = pointer;
    candidate = pointer;
    for (int i = 3; i >= 0; i--) begin
      candidate = pointer + i[1:0];
      if (request[candidate]) winner = candidate;
    end
  end

  assign grant = request == 4'd0 ? 4'd0 : 4'd1 << winner;

  always_ff @(posedge clk) begin
    if (rst) pointer <= 2'd0;
    else if (accept && request != 4'd0) pointer <= winner + 2'd1;
  end
endmodule
