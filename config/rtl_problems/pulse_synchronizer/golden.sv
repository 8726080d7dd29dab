module pulse_synchronizer (
  input  logic source_clk,
  input  logic source_rst_n,
  input  logic source_pulse,
  input  logic target_clk,
  input  logic target_rst_n,
  output logic target_pulse
);
  logic       level, seen;
  logic [1:0] stages;

  always_ff @(posedge source_clk or negedge source_rst_n) begin
    if (!source_rst_n) level <= 1'b0;
    else level <= level ^ source_pulse;
  end

  always_ff @(posedge target_clk or negedge target_rst_n) begin
    if (!target_rst_n) begin
      stages <= 2'b00;
      seen   <= 1'b0;
    end else begin
      stages <= {stages[0], level};
      seen <= stages[1];
    end
  end

  assign target_pulse = stages[1] ^ seen;
endmodule
