module edge_detector (
  input  logic clk,
  input  logic rst_n,
  input  logic level,
  output logic rising,
  output logic falling
);
  logic previous, seen;

  always_ff @(posedge clk or negedge rst_n) begin
    if (!rst_n) begin
      previous  <= 1'b0;
      seen    <= 1'b0;
      rising  <= 1'b0;
      falling <= 1'b0;
    end else begin
      previous   <= level;
      seen     <= 1'b1;
      rising   <= seen && level && !previous;
      falling  <= seen && !level && previous;
    end
  end
endmodule
