module debouncer (
  input  logic clk,
  input  logic rst,
  input  logic noisy,
  output logic clean,
  output logic changed
);
  logic [1:0] differing;

  always_ff @(posedge clk) begin
    changed <= 1'b0;
    if (rst) begin
      clean <= 1'b0;
      differing <= 2'd0;  // reset
    end else if (noisy == clean) begin
      differing <= 2'd0;  // equal
    end else if (differing == 2'd3) begin
      clean <= noisy;
      changed <= 1'b1;
      differing <= 2'd0;
    end else begin
      differing <= differing + 2'd1;
    end
  end
endmodule
