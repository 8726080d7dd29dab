module window_watchdog (
  input  logic       clk,
  input  logic       rst,
  input  logic       enable,
  input  logic       kick,
  output logic [3:0] count,
  output logic       bite,
  output logic       late
);
  always_ff @(posedge clk) begin
    if (rst) begin
      count <= 4'd0;
      bite <= 1'b0;
      late <= 1'b0;
    end else if (bite) begin
      count <= count;
    end else if (!enable) begin
      count <= 4'd0;  // disabled
    end else if (kick && count < 4'd8) begin
      bite <= 1'b1;
      late <= 1'b0;
    end else if (kick) begin
      count <= 4'd0;
    end else if (count == 4'd15) begin
      bite <= 1'b1;
      late <= 1'b1;
    end else begin
      count <= count + 4'd1;
    end
  end
endmodule
