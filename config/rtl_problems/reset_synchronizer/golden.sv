module reset_synchronizer (
  input  logic clk,
  input  logic async_rst_n,
  output logic rst_n
);
  logic [1:0] stages;

  always_ff @(posedge clk or negedge async_rst_n) begin
    if (!async_rst_n) stages <= 2'b00;
    else stages <= {stages[0], 1'b1};
  end

  assign rst_n = stages[1];
endmodule
