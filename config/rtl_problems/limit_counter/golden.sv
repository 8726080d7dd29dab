module limit_counter (
  input  logic       clk,
  input  logic       rst,
  input  logic       load,
  input  logic [7:0] load_value,
  input  logic       enable,
  input  logic [7:0] last,
  output logic [7:0] count,
  output logic       wrapped
);
  always_ff @(posedge clk) begin
    wrapped <= 1'b0;  // unless the counter wraps
    if (rst) begin
      count <= 8'd0;
    end else if (load) begin
      count <= load_value;
    end else if (enable) begin
      if (count >= last) begin
        count <= 8'd0;
        wrapped <= 1'b1;
      end else begin
        count <= count + 8'd1;
      end
    end
  end
endmodule
